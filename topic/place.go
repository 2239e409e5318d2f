package topic

import (
	"strings"
	"unicode/utf8"
)

// Level returns in which level of Text the offence is, from 1. In a Shared Subscription
// "$share" is level 1 and the Share Name level 2.
func (e *SyntaxError) Level() int {
	return 1 + strings.Count(e.Text[:min(e.Offset, len(e.Text))], "/")
}

// Character returns the place of the offending character in Text, from 1, in characters;
// an ill-formed byte counts as one.
func (e *SyntaxError) Character() int {
	return 1 + utf8.RuneCountInString(e.Text[:min(e.Offset, len(e.Text))])
}
