package inspect

import (
	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Explainer says what packets and fields mean.
type Explainer struct{ French bool }

// Packet says what a packet does and what follows.
func (e *Explainer) Packet(r *Record) string { return "" }

// Field says what a field means, and the section of the standard that says so.
func (e *Explainer) Field(f *packet.Field, t packet.Type, v colibri.Version) (text, section string) {
	return "", ""
}

// Fault says what is wrong.
func (e *Explainer) Fault(fault *colibri.Error) string { return fault.Error() }
