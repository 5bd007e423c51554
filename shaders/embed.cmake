# Writes TABLE: the words of FOLDER/<name>.spv for each of NAMES, as backend/vulkan/shader_table.h declares them.
set(text "#include \"backend/vulkan/shader_table.h\"\n\nnamespace nibble::inline v0::detail::vulkan {\nnamespace {\n\n")
set(rows "")
foreach(name ${NAMES})
  file(READ ${FOLDER}/${name}.spv hex HEX)
  string(REGEX REPLACE "(..)(..)(..)(..)" "0x\\4\\3\\2\\1," words "${hex}")
  string(APPEND text "constexpr std::uint32_t k_${name}[] = {${words}};\n")
  string(APPEND rows "    {\"${name}\", k_${name}},\n")
endforeach()
string(APPEND text "\nconstexpr Shader kShaders[] = {\n${rows}};\n\n}  // namespace\n\n"
                   "std::span<const Shader> shader_table() { return kShaders; }\n\n}  // namespace nibble::inline v0::detail::vulkan\n")
file(WRITE ${TABLE} "${text}")
