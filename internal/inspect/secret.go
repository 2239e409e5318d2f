package inspect

import (
	"bytes"
	"fmt"

	"github.com/colibri-mqtt/colibri/packet"
)

// hide replaces the values of secret fields, and their bytes in b, of which it returns a
// copy if there are any.
func hide(fields []packet.Field, b []byte) []byte {
	copied := false
	for i := range fields {
		f := &fields[i]
		if !f.Secret() || f.Value == nil {
			continue
		}
		n := f.End - f.Start
		if !copied {
			b, copied = bytes.Clone(b), true
		}
		clear(b[f.Start:f.End])
		f.Value = nil
		f.Text = fmt.Sprintf("hidden (%d bytes; --secrets shows it)", max(0, n-2))
	}
	return b
}

// hiddenBytes reports whether f is one of the fields that hide empties.
func hiddenBytes(f *packet.Field) bool { return f.Secret() && f.Value == nil && f.Text != "" }
