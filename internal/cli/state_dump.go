package cli

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
	"github.com/colibri-mqtt/colibri/internal/wal"
)

// dumpState is "state dump": it prints the entries while it reads them, and holds no more
// than one record.
func dumpState(env *invocation, o *stateOptions) int {
	out := bufio.NewWriter(env.stdout)
	var broken error // of the output
	report, err := walkState(o.dir, func(wal.Pos, []byte) {}, func(pos wal.Pos, at int, e journal.Entry) error {
		if broken = env.ctx.Err(); broken != nil {
			return broken
		}
		name, fields := entryObject(e)
		line := append(object{"segment", pos.Segment(), "offset", pos.Offset(), "byte", at, "entry", name}, fields...)
		b, err := line.MarshalJSON()
		if err != nil {
			return err
		}
		_, broken = out.Write(append(b, '\n'))
		return broken
	})
	if e := out.Flush(); broken == nil {
		broken = e
	}
	switch {
	case broken != nil:
		fmt.Fprintf(env.stderr, "Error: The output ended early: %v.\n", broken)
		return exitStateBad
	case err != nil:
		fmt.Fprintf(env.stderr, "Error: %s\n", faultOf(err))
		return exitStateBad
	case report.Torn != nil:
		fmt.Fprintf(env.stderr, "Warning: The last write was cut off by a crash and is not printed: %s.\n", report.Torn)
	}
	return exitOK
}

// object is a JSON object whose keys keep their order: key, value, key, value.
type object []any

// MarshalJSON writes the object on one line, with <, > and & as they are.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, one := range o {
		switch {
		case i == 0:
		case i%2 == 0:
			b.WriteByte(',')
		default:
			b.WriteByte(':')
		}
		if err := encoder.Encode(one); err != nil {
			return nil, err
		}
		b.Truncate(b.Len() - 1) // the end of the line
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// entryObject returns the name of an entry's type and its fields.
func entryObject(e journal.Entry) (name string, fields object) {
	switch e := e.(type) {
	case journal.Format:
		return "Format", object{"version", e.Version, "last_session", e.LastSession, "last_message", e.LastMessage, "last_retained", e.LastRetained}
	case journal.Recovered:
		return "Recovered", object{"at", instant(e.At)}
	case journal.Checkpoint:
		return "Checkpoint", object{"number", e.Number, "part", e.Part.String()}
	case journal.SessionOpened:
		fields = object{"session", e.Session}
		if id := e.ClientID; id != "" && id[0] == 0 {
			fields = append(fields, "shared_queue", id[1:])
		} else {
			fields = append(fields, "client_id", id)
		}
		return "SessionOpened", append(fields, "version", e.Version.String(), "expiry_interval", e.ExpiryInterval)
	case journal.SessionClosed:
		return "SessionClosed", object{"session", e.Session, "at", instant(e.At), "expiry_interval", e.ExpiryInterval}
	case journal.SessionEnded:
		return "SessionEnded", object{"session", e.Session}
	case journal.WillStored:
		return "WillStored", object{"session", e.Session, "delay", e.Delay, "message", messageObject(e.Message)}
	case journal.WillAuthor:
		return "WillAuthor", object{"session", e.Session, "user", e.UserName, "own_rights", e.OwnRights}
	case journal.WillRemoved:
		return "WillRemoved", object{"session", e.Session}
	case journal.SubscriptionGranted:
		s := e.Subscription
		return "SubscriptionGranted", object{"session", e.Session, "filter", s.Filter, "qos", int(s.QoS), "no_local", s.NoLocal,
			"retain_as_published", s.RetainAsPublished, "retain_handling", int(s.RetainHandling), "identifier", s.Identifier}
	case journal.SubscriptionRemoved:
		return "SubscriptionRemoved", object{"session", e.Session, "filter", e.Filter}
	case journal.RetainedSet:
		return "RetainedSet", object{"number", e.Number, "message", messageObject(e.Message)}
	case journal.RetainedRemoved:
		return "RetainedRemoved", object{"number", e.Number, "topic", e.Topic}
	case journal.MessageStored:
		return "MessageStored", object{"number", e.Number, "message", messageObject(e.Message)}
	case journal.DeliveryQueued:
		fields = object{"session", e.Session, "delivery", e.Delivery, "message", e.Message, "qos", int(e.QoS), "retain", e.Retain}
		if len(e.Identifiers) > 0 {
			fields = append(fields, "identifiers", e.Identifiers)
		}
		if e.Share != "" {
			fields = append(fields, "share", e.Share)
		}
		return "DeliveryQueued", fields
	case journal.DeliverySent:
		return "DeliverySent", object{"session", e.Session, "delivery", e.Delivery, "packet_id", e.PacketID}
	case journal.PubrecReceived:
		return "PubrecReceived", object{"session", e.Session, "delivery", e.Delivery, "packet_id", e.PacketID}
	case journal.DeliveryEnded:
		return "DeliveryEnded", object{"session", e.Session, "delivery", e.Delivery}
	case journal.DeliveriesSettled:
		return "DeliveriesSettled", object{"session", e.Session, "first", e.First, "last", e.Last}
	case journal.PublishReceived:
		return "PublishReceived", object{"session", e.Session, "packet_id", e.PacketID}
	case journal.PubrelReceived:
		return "PubrelReceived", object{"session", e.Session, "packet_id", e.PacketID}
	}
	return fmt.Sprintf("%T", e), nil
}

// instant writes nanoseconds since 1970 (UTC) as people read them.
func instant(at int64) string { return time.Unix(0, at).UTC().Format(time.RFC3339Nano) }

func messageObject(m *colibri.Message) object {
	o := object{"topic", m.Topic, "qos", int(m.QoS), "retain", m.Retain}
	if m.Expires != 0 {
		o = append(o, "expires", instant(m.Expires))
	}
	if len(m.Properties) > 0 {
		list := make([]object, 0, len(m.Properties))
		for i := range m.Properties {
			list = append(list, propertyObject(&m.Properties[i]))
		}
		o = append(o, "properties", list)
	}
	return appendText(o, "payload", string(m.Payload))
}

func propertyObject(p *colibri.Property) object {
	o := object{"property", propertyName(p.ID)}
	switch {
	case p.ID == colibri.UserProperty:
		return append(o, "name", p.Name, "value", p.Value)
	case isNumber(p.ID):
		return append(o, "value", p.Number)
	}
	return appendText(o, "value", p.Value)
}

// appendText adds text under a key, or other bytes in base64 under key_base64.
func appendText(o object, key, text string) object {
	if utf8.ValidString(text) {
		return append(o, key, text)
	}
	return append(o, key+"_base64", base64.StdEncoding.EncodeToString([]byte(text)))
}
