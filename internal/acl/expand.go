package acl

import "strings"

// expansion says what became of a filter in which names are to be put.
type expansion uint8

const (
	expanded  expansion = iota
	missing             // it asks for a User Name, and the client has none
	dangerous           // a name holds a wildcard, and would widen the filter
)

// isPattern reports whether filter asks for a name.
func isPattern(filter string) bool {
	return strings.Contains(filter, "%u") || strings.Contains(filter, "%c")
}

// hasWildcard reports whether a name of the client would be a wildcard in a filter.
func (c Client) hasWildcard() bool { return strings.ContainsAny(c.User+c.ID, "+#") }

// expand puts the names of c into filter, wherever %u and %c stand in it. What a name holds
// is not looked at again: a ClientID "%u" stays what it is.
func expand(filter string, c Client) (string, expansion) {
	switch {
	case !isPattern(filter):
		return filter, expanded
	case c.hasWildcard():
		return "", dangerous
	case c.User == "" && strings.Contains(filter, "%u"):
		return "", missing
	}
	return strings.NewReplacer("%u", c.User, "%c", c.ID).Replace(filter), expanded
}
