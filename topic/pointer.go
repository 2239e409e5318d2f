package topic

import (
	"strings"

	"github.com/colibri-mqtt/colibri/internal/display"
)

// Pointer returns two lines without a final newline: the text, and under the offending
// character a "^" with the reason.
//
//	maison/#/temperature
//	       ^ must be the last level
//
// The column is counted as a terminal shows it, so that accents and wide characters
// before the offence do not shift the "^". Invisible characters and ill-formed bytes are
// drawn as one visible character each. Of a long text only the part around the offending
// character is shown.
func (e *SyntaxError) Pointer() string {
	text, offset := e.excerpt()
	var line strings.Builder
	column := 0
	for i, r := range text {
		r = display.Visible(r)
		line.WriteRune(r)
		if i < offset {
			column += display.Columns(r)
		}
	}
	return line.String() + "\n" + strings.Repeat(" ", column) + "^ " + e.Reason
}
