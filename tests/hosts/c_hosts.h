#ifndef NIBBLE_TESTS_HOSTS_C_HOSTS_H
#define NIBBLE_TESTS_HOSTS_C_HOSTS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Hosts in C, each compiled with the header of its time. They get the table of nibble_get_api, and return NULL or what
   went wrong. */
const char* c99_host(const void* table);
const char* old_host(const void* table);

#ifdef __cplusplus
}
#endif

#endif
