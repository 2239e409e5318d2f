package topic

import "strings"

// Match reports whether filter matches name: level by level and byte for byte
// [MQTT-4.7.3-4], "+" for exactly one level, "#" for the parent level and everything
// below it. A filter that begins with a wildcard matches no name that begins with "$"
// [MQTT-4.7.2-1]. It does not allocate.
func Match(filter, name string) bool {
	if wildcardAgainstDollar(filter, name) { // [MQTT-4.7.2-1]
		return false
	}
	for {
		filterLevel, filterRest, moreFilter := strings.Cut(filter, "/")
		if filterLevel == "#" && !moreFilter {
			return true
		}
		nameLevel, nameRest, moreName := strings.Cut(name, "/")
		if filterLevel != "+" && filterLevel != nameLevel {
			return false
		}
		if !moreName {
			return !moreFilter || filterRest == "#" // "a/#" matches "a" too
		}
		if !moreFilter {
			return false
		}
		filter, name = filterRest, nameRest
	}
}

// wildcardAgainstDollar reports whether filter begins with a wildcard and name with "$".
func wildcardAgainstDollar(filter, name string) bool {
	return name != "" && name[0] == '$' && filter != "" && (filter[0] == '+' || filter[0] == '#')
}
