# Turns the Debian package index (apt-cache dumpavail) into COPY's text format:
# name, version, section, maintainer, installed_size, depends, homepage, description.
# The first record of a name is the one apt would install.

function text(s)
{
	gsub(/\\/, "\\\\", s)
	gsub(/\t/, "\\t", s)
	return s == "" ? "\\N" : s
}

function number(s)
{
	return s ~ /^[0-9]+$/ ? s : "\\N"
}

function finish_record()
{
	if (field["Package"] != "" && !(field["Package"] in seen))
	{
		seen[field["Package"]] = 1
		print text(field["Package"]), text(field["Version"]), \
			field["Section"] == "" ? "unknown" : text(field["Section"]), \
			text(field["Maintainer"]), number(field["Installed-Size"]), \
			text(field["Depends"]), text(field["Homepage"]), text(field["Description"])
	}
	split("", field)
}

BEGIN { OFS = "\t" }
/^$/ { finish_record(); next }
/^[ \t]/ { next }		# only the first line of a field is used
{
	colon = index($0, ":")
	name = substr($0, 1, colon - 1)
	value = substr($0, colon + 1)
	sub(/^ +/, "", value)
	field[name] = value
}
END { finish_record() }
