package pcap_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// TestListen captures a connection of its own over lo; without the right to, it wants to
// be told so.
func TestListen(t *testing.T) {
	live, err := pcap.Listen("lo")
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { live.Close() })
	defer late.Stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	nc, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	text := []byte("a text that nobody else sends: " + listener.Addr().String())
	if _, err := nc.Write(text); err != nil {
		t.Fatal(err)
	}
	nc.Write([]byte("the end"))
	seen := 0
	for {
		f, err := live.Next()
		if err != nil {
			t.Fatalf("after %d of 1 frames: %v", seen, err)
		}
		var s pcap.Segment
		if pcap.Decode(f.Link, f.Data, &s) != pcap.IsTCP || s.Source.String() != nc.LocalAddr().String() {
			continue
		}
		if bytes.HasPrefix(s.Payload, text) {
			seen++
		}
		if bytes.HasSuffix(s.Payload, []byte("the end")) {
			break
		}
	}
	if seen != 1 {
		t.Errorf("got the frame %d times, want once", seen)
	}
	live.Close()
	if _, err := live.Next(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: got %v, want %v", err, os.ErrClosed)
	}
}

func TestListenNowhere(t *testing.T) {
	if _, err := pcap.Listen("none"); err == nil || !strings.Contains(err.Error(), "there are any, lo") {
		t.Errorf("got %v, want the names that there are", err)
	}
}
