package interop

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// version is the Protocol Version byte of CONNECT.
type version byte

const (
	v31  version = 3
	v311 version = 4
	v5   version = 5
)

func (v version) String() string {
	return map[version]string{v31: "3.1", v311: "3.1.1", v5: "5.0"}[v]
}

// library is an outside client library, seen alike through its driver.
type library struct {
	name     string
	versions []version
	open     func(t *testing.T) driver
}

var libraries = []library{
	{"paho.mqtt.golang", []version{v31, v311}, openPahoV3},
	{"paho.golang", []version{v5}, openPahoV5},
	{"paho-python", []version{v31, v311, v5}, func(t *testing.T) driver {
		return openRemote(t, python, "clients/paho_client.py")
	}},
	{"mqtt.js", []version{v31, v311, v5}, func(t *testing.T) driver {
		return openRemote(t, paths["node"], "clients/mqttjs.mjs")
	}},
}

// driver makes connections with one library.
type driver interface {
	connect(o connectOptions) (connection, connack, error)
}

// connection is one Network Connection of an outside library. Calls are made by
// one goroutine at a time.
type connection interface {
	// subscribe returns the Reason Code of the SUBACK.
	subscribe(s subscription) (code int, err error)
	// unsubscribe returns the Reason Code of the UNSUBACK, or notTold.
	unsubscribe(filter string) (code int, err error)
	// publish returns when the QoS is fulfilled, with the Reason Code of the
	// acknowledgement, or notTold.
	publish(m message) (code int, err error)
	// disconnect sends DISCONNECT; a Reason Code other than 0 needs 5.0.
	disconnect(code byte) error
	// abort closes the Network Connection without DISCONNECT.
	abort() error
	// inbox is where the messages received arrive.
	inbox() *inbox
}

// notTold stands for a Reason Code that a library keeps to itself.
const notTold = -1

type connectOptions struct {
	Port          int      `json:"port"`
	Version       version  `json:"version"`
	ClientID      string   `json:"client_id"`
	Clean         bool     `json:"clean"`
	SessionExpiry *uint32  `json:"session_expiry,omitempty"`
	Will          *message `json:"will,omitempty"`
	WillDelay     *uint32  `json:"will_delay,omitempty"`
	WebSocket     bool     `json:"websocket,omitempty"` // of the libraries in other languages only
	CA            string   `json:"ca,omitempty"`        // file, for TLS; likewise
}

func (o connectOptions) address() string { return fmt.Sprintf("127.0.0.1:%d", o.Port) }

type connack struct {
	SessionPresent   bool   `json:"session_present"`
	Code             int    `json:"code"`
	AssignedClientID string `json:"assigned_client_id"`
}

type subscription struct {
	Filter            string `json:"filter"`
	QoS               byte   `json:"qos"`
	NoLocal           bool   `json:"no_local,omitempty"`
	RetainAsPublished bool   `json:"retain_as_published,omitempty"`
	RetainHandling    byte   `json:"retain_handling,omitempty"`
	ID                int    `json:"id,omitempty"`
}

type message struct {
	Topic           string      `json:"topic"`
	Payload         []byte      `json:"payload"`
	QoS             byte        `json:"qos"`
	Retain          bool        `json:"retain"`
	Duplicate       bool        `json:"duplicate,omitempty"`
	ContentType     string      `json:"content_type,omitempty"`
	ResponseTopic   string      `json:"response_topic,omitempty"`
	CorrelationData []byte      `json:"correlation_data,omitempty"`
	MessageExpiry   *uint32     `json:"message_expiry,omitempty"`
	PayloadFormat   *byte       `json:"payload_format,omitempty"`
	UserProperties  [][2]string `json:"user_properties,omitempty"`
	SubscriptionIDs []int       `json:"subscription_ids,omitempty"`
}

// hasProperties reports whether m needs a properties block on its way out.
func (m message) hasProperties() bool {
	return m.ContentType != "" || m.ResponseTopic != "" || m.CorrelationData != nil ||
		m.MessageExpiry != nil || m.PayloadFormat != nil || m.UserProperties != nil
}

func (m message) String() string {
	payload := string(m.Payload)
	if len(payload) > 40 {
		payload = fmt.Sprintf("%d bytes", len(payload))
	}
	text := fmt.Sprintf("%s %q QoS %d", m.Topic, payload, m.QoS)
	if m.Retain {
		text += " retain"
	}
	if m.Duplicate {
		text += " DUP"
	}
	return text
}

// inbox queues what a connection receives. It is safe for concurrent use.
type inbox struct {
	mu       sync.Mutex
	messages []message
	ended    bool
	code     int           // Reason Code of the Server's DISCONNECT, or notTold
	changed  chan struct{} // closed and replaced at each change
}

func newInbox() *inbox { return &inbox{code: notTold, changed: make(chan struct{})} }

func (i *inbox) put(m message) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.messages = append(i.messages, m)
	i.announce()
}

// end marks the end of the connection. The first Reason Code that is told stays.
func (i *inbox) end(code int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	if i.code == notTold {
		i.code = code
	}
	i.announce()
}

// announce needs mu.
func (i *inbox) announce() {
	close(i.changed)
	i.changed = make(chan struct{})
}

var errEnded = errors.New("the connection ended")

// next waits for the next message.
func (i *inbox) next() (message, error) {
	deadline := time.After(patience)
	for {
		i.mu.Lock()
		if len(i.messages) > 0 {
			m := i.messages[0]
			i.messages = i.messages[1:]
			i.mu.Unlock()
			return m, nil
		}
		ended, changed := i.ended, i.changed
		i.mu.Unlock()
		if ended {
			return message{}, errEnded
		}
		select {
		case <-changed:
		case <-deadline:
			return message{}, os.ErrDeadlineExceeded
		}
	}
}

// waitEnd waits for the end of the connection and returns the Reason Code of
// the Server's DISCONNECT, or notTold.
func (i *inbox) waitEnd() (int, error) {
	deadline := time.After(patience)
	for {
		i.mu.Lock()
		ended, code, changed := i.ended, i.code, i.changed
		i.mu.Unlock()
		if ended {
			return code, nil
		}
		select {
		case <-changed:
		case <-deadline:
			return notTold, os.ErrDeadlineExceeded
		}
	}
}
