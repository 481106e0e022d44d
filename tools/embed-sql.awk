# Turns SQL files into C, as the table imu_queries or one whose name is given as set. Mode "queries": each statement after a line "-- :name NAME"; lines that several statements share
# stand once after "-- :part NAME", and a line "-- :use NAME" puts them into a statement further down the file. Mode "migrations": each file whole, its
# version and name from "NNNN_name.sql". Comment lines are left out, so that SQL stays commented and the binary small.
function quoted(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); return "    \"" s "\\n\"" }
function close_statement() { if (open) { print "    }," } open = 0 }
BEGIN {
    print "/* Generated from sql/ by tools/embed-sql.awk. */"
    if (!set) set = "imu_queries"
    if (mode == "queries") {
        print "#include \"mod_invokemu/store/db.h\"\nextern const imu_query " set "[];\nextern const int " set "_count;\nconst imu_query " set "[] = {"
    } else {
        print "#include \"mod_invokemu/store/migrate.h\"\nconst imu_migration imu_migrations[] = {"
    }
}
mode == "migrations" && FNR == 1 {
    close_statement()
    n = split(FILENAME, parts, "/")
    file = parts[n]
    sub(/\.sql$/, "", file)
    if (file !~ /^[0-9][0-9][0-9][0-9]_[a-z0-9_]+$/) fail("bad migration name")
    printf "    {%d, \"%s\",\n", substr(file, 1, 4) + 0, substr(file, 6)
    open = 1
    count++
}
function fail(why) { print FILENAME ": " why > "/dev/stderr"; exit 1 }
mode == "queries" && FNR == 1 { close_statement(); part = ""; delete parts }
mode == "queries" && /^-- :part [a-z0-9_]+$/ {
    close_statement()
    part = $3
    if (part in parts) fail("part named twice: " part)
    parts[part] = ""
    next
}
mode == "queries" && /^-- :use / {
    if (!open || !($3 in parts)) fail("nothing to use: " $3)
    printf "%s", parts[$3]
    next
}
mode == "queries" && /^-- :name [a-z0-9_]+$/ {
    close_statement()
    part = ""
    if ($3 in seen) fail("statement named twice: " $3)
    seen[$3] = 1
    printf "    {\"%s\",\n", $3
    open = 1
    count++
    next
}
/^[ \t]*--/ || /^[ \t]*$/ { next }
part != "" { parts[part] = parts[part] quoted($0) "\n"; next }
open {
    line = $0
    if (mode == "queries") sub(/;[ \t]*$/, "", line)
    print quoted(line)
}
END {
    close_statement()
    print "};"
    if (mode == "queries") print "const int " set "_count = " count ";"
    else print "const int imu_migrations_count = " count ";"
}
