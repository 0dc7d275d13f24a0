# SPDX-License-Identifier: Apache-2.0
# cmake -DOUTPUT=F -DINPUTS=a.sql,b.sql -P embed_sql.cmake: SQL scripts -> store_migrations[].
string(REPLACE "," ";" inputs "${INPUTS}")
set(out "/* SPDX-License-Identifier: Apache-2.0 */\n/* Made from store/migrations. Do not edit. */\n#include \"store/migrations.h\"\n\nconst char *const store_migrations[] = {\n")
foreach(input ${inputs})
  file(READ ${input} text HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" text "${text}")
  string(APPEND out "\t\"${text}\",\n")
endforeach()
string(APPEND out "\t0,\n};\n")
file(WRITE ${OUTPUT} "${out}")
