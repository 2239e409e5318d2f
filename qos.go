package colibri

import "fmt"

// QoS is the Quality of Service of a Message or of a Subscription.
type QoS byte

// The three levels of [MQTT 5.0 section 4.3].
const (
	AtMostOnce  QoS = 0
	AtLeastOnce QoS = 1
	ExactlyOnce QoS = 2
)

// Valid reports whether q is 0, 1 or 2 [MQTT-3.3.1-4].
func (q QoS) Valid() bool { return q <= ExactlyOnce }

// String returns "QoS 0", "QoS 1" or "QoS 2".
func (q QoS) String() string { return fmt.Sprintf("QoS %d", byte(q)) }
