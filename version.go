package colibri

import "fmt"

// Version is the Protocol Version byte of a CONNECT packet (3.1.1 calls it
// Protocol Level).
type Version byte

// The Protocol Versions that Colibri speaks.
const (
	V31  Version = 3 // MQTT 3.1, Protocol Name "MQIsdp"
	V311 Version = 4 // MQTT 3.1.1, Protocol Name "MQTT"
	V5   Version = 5 // MQTT 5.0, Protocol Name "MQTT"
)

// String returns the version as people write it: "3.1", "3.1.1", "5.0".
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return fmt.Sprintf("unknown version %d", byte(v))
}

// Known reports whether v is one of the versions that Colibri speaks.
func (v Version) Known() bool { return v >= V31 && v <= V5 }
