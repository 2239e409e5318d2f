package client

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// TestRequest: the response is the message with the right Correlation Data.
func TestRequest(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted(colibri.Property{ID: colibri.ResponseInformation, Value: "mine/"}))
		request := start(func() (*Message, error) { return c.Request(t.Context(), message(1, "ask", "what?"), "") })
		topic := p.resubscribed().Subscriptions[0].Filter
		if !strings.HasPrefix(topic, "mine/") {
			t.Errorf("Response Topic: got %q, want one below the Response Information", topic)
		}
		asked := expect[*packet.Publish](p)
		p.send(&packet.Puback{PacketID: asked.PacketID})
		response, _ := asked.Properties.Value(colibri.ResponseTopic)
		data, ok := asked.Properties.Value(colibri.CorrelationData)
		if response != topic || !ok || string(asked.Payload) != "what?" {
			t.Errorf("request: got %+v", asked)
		}
		p.send(
			&packet.Publish{QoS: 1, PacketID: 1, Topic: topic, Payload: []byte("of another"), Properties: colibri.Properties{}.AppendValue(colibri.CorrelationData, "x")},
			&packet.Publish{QoS: 1, PacketID: 2, Topic: topic, Payload: []byte("that!"), Properties: colibri.Properties{}.AppendValue(colibri.CorrelationData, data)},
		)
		p.expectAll(&packet.Puback{PacketID: 1}, &packet.Puback{PacketID: 2})
		if m, err := request(); err != nil || string(m.Payload) != "that!" {
			t.Errorf("Request: got %+v, %v", m, err)
		}
		if got := expect[*packet.Unsubscribe](p); got.Filters[0] != topic {
			t.Errorf("UNSUBSCRIBE: got %+v", got)
		}
		p.disconnect(c)
	})
}

// TestRequestGivenProperties: Response Topic and Correlation Data of the program's choice.
func TestRequestGivenProperties(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		m := message(0, "ask", "")
		m.Properties = m.Properties.AppendValue(colibri.ResponseTopic, "here").AppendValue(colibri.CorrelationData, "42")
		first := start(func() (*Message, error) { return c.Request(t.Context(), m, "") })
		p.resubscribed()
		expect[*packet.Publish](p)
		m2 := message(0, "ask", "")
		m2.Properties = m2.Properties.AppendValue(colibri.ResponseTopic, "here").AppendValue(colibri.CorrelationData, "43")
		second := start(func() (*Message, error) { return c.Request(t.Context(), m2, "") })
		p.resubscribed()
		expect[*packet.Publish](p)
		p.send(&packet.Publish{Topic: "here", Payload: []byte("two"), Properties: m2.Properties[1:]})
		if got, err := second(); err != nil || string(got.Payload) != "two" {
			t.Errorf("second: got %+v, %v", got, err)
		}
		p.silent() // the first one still needs the Subscription
		p.send(&packet.Publish{Topic: "here", Payload: []byte("one"), Properties: m.Properties[1:]})
		if got, err := first(); err != nil || string(got.Payload) != "one" {
			t.Errorf("first: got %+v, %v", got, err)
		}
		expect[*packet.Unsubscribe](p)
		p.disconnect(c)
	})
}

// TestRequestWithoutProperties: in 3.1.1 the response is what comes on the topic.
func TestRequestWithoutProperties(t *testing.T) {
	bubble(t, colibri.V311, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		if _, err := c.Request(t.Context(), message(0, "ask", ""), ""); err == nil {
			t.Error("Request without a topic for the response: got no error")
		}
		request := start(func() (*Message, error) { return c.Request(t.Context(), message(0, "ask", ""), "here") })
		p.resubscribed()
		expect[*packet.Publish](p)
		p.send(&packet.Publish{Topic: "here", Payload: []byte("x")})
		if got, err := request(); err != nil || string(got.Payload) != "x" {
			t.Errorf("Request: got %+v, %v", got, err)
		}
		expect[*packet.Unsubscribe](p)
		p.disconnect(c)
	})
}

func TestRequestEnds(t *testing.T) {
	bubble(t, colibri.V5, func(t *testing.T, s *server) {
		c, p := s.dial(Options{}, accepted())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		request := start(func() (*Message, error) { return c.Request(ctx, message(0, "ask", ""), "") })
		p.resubscribed()
		expect[*packet.Publish](p)
		if _, err := request(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no response: got %v", err)
		}
		expect[*packet.Unsubscribe](p)
		request = start(func() (*Message, error) { return c.Request(t.Context(), message(0, "ask", ""), "") })
		p.resubscribed()
		expect[*packet.Publish](p)
		p.nc.Close()
		if _, err := request(); !errors.Is(err, ErrClosed) {
			t.Errorf("connection lost: got %v", err)
		}
		<-c.Done()
	})
}
