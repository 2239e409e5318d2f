package client

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/packet"
)

// Request publishes m and returns the first response to it (5.0 section 4.10). In 5.0
// the Response Topic and Correlation Data are those of m's properties, or made up, and
// what has other Correlation Data is not the response. In 3.1 and 3.1.1, which have
// neither, responseTopic is where the responder is known to answer, and the first
// message there is the response; in 5.0 it may be empty.
//
// The Subscription for the response has the QoS of m and ends with the call. m is not
// changed. Errors are those of Subscribe and Publish, and that of ctx when there is no
// response.
func (c *Client) Request(ctx context.Context, m *colibri.Message, responseTopic string) (*Message, error) {
	asked := *m
	r := &response{topic: responseTopic}
	if c.o.Version == colibri.V5 {
		asked.Properties = m.Properties.Clone()
		if name, ok := m.Properties.Value(colibri.ResponseTopic); ok {
			r.topic = name
		} else {
			if r.topic == "" {
				r.topic = c.responseTopic()
			}
			asked.Properties = asked.Properties.AppendValue(colibri.ResponseTopic, r.topic)
		}
		if data, ok := m.Properties.Value(colibri.CorrelationData); ok {
			r.correlation = data
		} else {
			r.correlation = rand.Text()
			asked.Properties = asked.Properties.AppendValue(colibri.CorrelationData, r.correlation)
		}
	} else if r.topic == "" {
		return nil, errors.New("request: " + c.o.Version.String() + " has no Response Topic property: give the topic of the response")
	}
	s, err := c.Subscribe(ctx, colibri.Subscription{Filter: r.topic, QoS: m.QoS})
	if err != nil {
		return nil, err
	}
	defer c.endRequest(s, r)
	c.mu.Lock()
	s.mute = true
	r.done = make(chan struct{})
	c.responses.waiting = append(c.responses.waiting, r)
	c.mu.Unlock()
	if _, err := c.Publish(ctx, &asked); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r.m, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// responseTopic makes up a topic below the Response Information of the Server, if it
// has given one.
func (c *Client) responseTopic() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	prefix, ok := c.connack.Properties.Value(colibri.ResponseInformation)
	if !ok {
		prefix = "response"
	}
	return strings.TrimSuffix(prefix, "/") + "/" + rand.Text()
}

// endRequest gives back what Request has taken. Another request that waits on the same
// topic keeps the Subscription at the Server.
func (c *Client) endRequest(s *Subscription, r *response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.responses.remove(r)
	others := slices.ContainsFunc(c.subscriptions, func(other *Subscription) bool {
		return other != s && slices.ContainsFunc(other.filters, func(f colibri.Subscription) bool { return f.Filter == r.topic })
	})
	if !others && !c.ended && !c.closing { // nobody waits for the answer
		end := &request{unsubscribe: &packet.Unsubscribe{Filters: []string{r.topic}}}
		c.requests = append(c.requests, end)
		if c.conn != nil {
			c.issue(end)
		}
	}
	c.drop(s, ErrUnsubscribed)
}

// response is what one Request waits for.
type response struct {
	topic       string
	correlation string
	done        chan struct{}
	m           *Message
	err         error
}

// responses are all that Requests wait for, oldest first. The lock of the Client guards
// them.
type responses struct{ waiting []*response }

// take gives m to the Request that waits for it, if there is one.
func (rs *responses) take(m *Message) bool {
	for _, r := range rs.waiting {
		if r.topic != m.Topic {
			continue
		}
		if data, _ := m.Properties.Value(colibri.CorrelationData); data != r.correlation {
			continue
		}
		r.m = m
		rs.remove(r)
		close(r.done)
		return true
	}
	return false
}

func (rs *responses) remove(r *response) {
	rs.waiting = slices.DeleteFunc(rs.waiting, func(other *response) bool { return other == r })
}

func (rs *responses) fail(err error) {
	for _, r := range rs.waiting {
		r.err = err
		close(r.done)
	}
	rs.waiting = nil
}
