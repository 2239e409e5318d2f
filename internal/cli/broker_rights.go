package cli

import (
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/auth"
)

// rightsKeeper holds clients to the rights that came with them; others may do everything but
// publish what is the broker's own.
type rightsKeeper struct{}

func (rightsKeeper) Publish(c broker.ClientInfo, topic string, _ colibri.QoS, _ bool) colibri.ReasonCode {
	rights, ok := c.Rights.(*auth.Rights)
	if topic == "$SYS" || strings.HasPrefix(topic, "$SYS/") || ok && !rights.MayPublish(topic) {
		return colibri.NotAuthorized
	}
	return colibri.Success
}

func (rightsKeeper) Subscribe(c broker.ClientInfo, s colibri.Subscription) colibri.ReasonCode {
	if rights, ok := c.Rights.(*auth.Rights); ok && !rights.MaySubscribe(s.Filter) {
		return colibri.NotAuthorized
	}
	return colibri.ReasonCode(s.QoS)
}
