package interop

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// wire is a Network Connection that speaks MQTT in bytes, for what no library
// would send.
type wire struct {
	t  *testing.T
	nc net.Conn
}

func dialWire(t *testing.T, b *broker) *wire {
	t.Helper()
	nc, err := net.Dial("tcp", b.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &wire{t: t, nc: nc}
}

// utf8String is the UTF-8 Encoded String of a packet.
func utf8String(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

// send writes a packet of at most 127 bytes after its Fixed Header.
func (w *wire) send(first byte, parts ...[]byte) {
	w.t.Helper()
	var body []byte
	for _, part := range parts {
		body = append(body, part...)
	}
	if len(body) > 127 {
		w.t.Fatalf("a packet of %d bytes is too long for this test", len(body))
	}
	if _, err := w.nc.Write(append([]byte{first, byte(len(body))}, body...)); err != nil {
		w.t.Fatal(err)
	}
}

// connect sends CONNECT with a Clean Start and wants to be accepted.
func (w *wire) connect(v version, clientID string) {
	w.t.Helper()
	header := append(utf8String("MQTT"), byte(v), 0x02, 0, 60)
	if v == v5 {
		header = append(header, 0) // no properties
	}
	w.send(0x10, header, utf8String(clientID))
	first, body, err := w.receive()
	if err != nil || first != 0x20 || body[1] != 0 {
		w.t.Fatalf("CONNECT was answered with %#02x %x, %v", first, body, err)
	}
}

// subscribe sends SUBSCRIBE with Packet Identifier 7.
func (w *wire) subscribe(v version, filter string) {
	w.t.Helper()
	header := []byte{0, 7}
	if v == v5 {
		header = append(header, 0) // no properties
	}
	w.send(0x82, header, utf8String(filter), []byte{0})
}

// errClosed is the end of a connection that the broker closed.
var errClosed = errors.New("the broker closed the Network Connection")

// receive reads one packet.
func (w *wire) receive() (first byte, body []byte, err error) {
	var header [1]byte
	if _, err := io.ReadFull(w.nc, header[:]); err != nil {
		return 0, nil, closedOr(err)
	}
	length, shift := 0, 0
	for {
		var digit [1]byte
		if _, err := io.ReadFull(w.nc, digit[:]); err != nil {
			return 0, nil, closedOr(err)
		}
		length |= int(digit[0]&0x7F) << shift
		shift += 7
		if digit[0] < 0x80 {
			break
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(w.nc, body)
	return header[0], body, closedOr(err)
}

func closedOr(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return errClosed
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("no answer in time")
	}
	return err
}
