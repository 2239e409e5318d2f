package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/colibri-mqtt/colibri/broker"
	"github.com/colibri-mqtt/colibri/internal/capture"
	"github.com/colibri-mqtt/colibri/internal/control"
)

// captureQueueBytes is how much may wait between the broker and who reads a capture.
const captureQueueBytes = 8 << 20

// captureSentBytes is how much of a capture is sent at once, when as much is there.
const captureSentBytes = 64 << 10

// captureLimits end a capture; 0 is no limit.
type captureLimits struct {
	seconds, packets, bytes int64
}

// readCaptureAsk reads what is asked for.
func readCaptureAsk(ask url.Values) (f broker.CaptureFilter, l captureLimits, err error) {
	f = broker.CaptureFilter{ClientID: ask.Get("client"), UserName: ask.Get("user"), Topic: ask.Get("topic")}
	if text := ask.Get("address"); text != "" {
		if f.Address, err = parseNetwork(text); err != nil {
			return f, l, err
		}
	}
	for name, into := range map[string]*int64{"seconds": &l.seconds, "packets": &l.packets, "size": &l.bytes} {
		if text := ask.Get(name); text != "" {
			if *into, err = strconv.ParseInt(text, 10, 64); err != nil || *into < 1 {
				return f, l, fmt.Errorf("'%s' is no limit of a capture", text)
			}
		}
	}
	return f, l, nil
}

// parseNetwork reads an IP address or a network such as 192.0.2.0/24.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		address, err := netip.ParseAddr(text)
		if err != nil || address.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("'%s' is not an IP address; write one as 192.0.2.1 or 2001:db8::1, or a network as 192.0.2.0/24", text)
		}
		address = address.Unmap()
		return netip.PrefixFrom(address, address.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("'%s' is not a network; write one as 192.0.2.0/24 or 2001:db8::/32", text)
	}
	return network.Masked(), nil
}

// captureFile is a pcapng file on its way to who has asked.
type captureFile struct {
	*capture.Writer
	out     *bufio.Writer
	written int64 // bytes, those in out included
}

func (f *captureFile) Write(b []byte) (int, error) {
	f.written += int64(len(b))
	return f.out.Write(b)
}

func newCaptureFile(w io.Writer) (*captureFile, error) {
	f := &captureFile{out: bufio.NewWriterSize(w, captureSentBytes)}
	var err error
	f.Writer, err = capture.NewWriter(f, "colibri version "+versionNumber())
	return f, err
}

// full reports whether the limits leave no room for p.
func (f *captureFile) full(l *captureLimits, p *broker.TracedPacket) bool {
	const around = 512 // what stands around a packet in the file, about
	return l.packets > 0 && f.Packets >= l.packets || l.bytes > 0 && f.written+int64(len(p.Bytes))+around > l.bytes
}

// answerCapture answers with a capture of what passes from now on, until a limit is reached or
// nobody reads any more.
func (s *brokerServer) answerCapture(b *broker.Broker) control.Handler {
	return func(ctx context.Context, ask url.Values, w io.Writer) error {
		filter, limits, err := readCaptureAsk(ask)
		if err != nil {
			return err
		}
		c, err := b.Capture(filter, captureQueueBytes)
		if err != nil {
			return err
		}
		defer c.Close()
		f, err := newCaptureFile(w)
		if err != nil {
			return err
		}
		if limits.seconds > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Duration(limits.seconds)*time.Second)
			defer cancel()
		}
		var told broker.Lost
		for ended := false; !ended; {
			if err := f.out.Flush(); err != nil {
				return err
			}
			packets, err := nextPackets(ctx, c)
			ended = ctx.Err() != nil && err != nil
			for i := range packets {
				if ended = ended || f.full(&limits, &packets[i]); f.full(&limits, &packets[i]) {
					break
				}
				if err := f.Packet(&packets[i]); err != nil {
					return err
				}
			}
			ended = ended || limits.packets > 0 && f.Packets >= limits.packets
			if lost := c.Lost(); ended || lost != told {
				told = lost
				if err := f.Lost(time.Now(), lost); err != nil {
					return err
				}
			}
		}
		return f.out.Flush()
	}
}

// nextPackets is Next of c that comes back once a second.
func nextPackets(ctx context.Context, c *broker.Capture) ([]broker.TracedPacket, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return c.Next(ctx)
}

// answerRecording answers with what the flight recorder has.
func (s *brokerServer) answerRecording(b *broker.Broker) control.Handler {
	return func(_ context.Context, ask url.Values, w io.Writer) error {
		filter, limits, err := readCaptureAsk(ask)
		switch {
		case err != nil:
			return err
		case filter.Topic != "":
			return errors.New("the flight recorder knows the beginnings of packets only: choose by client, user or address")
		case s.config.Own.Recorder == 0:
			return errors.New("this broker has no flight recorder: give it one with 'colibri_recorder 16777216'")
		}
		return writeRecording(b, w, filter.Chooses, &limits)
	}
}

// writeRecording writes what the flight recorder has of the connections that pick chooses.
func writeRecording(b *broker.Broker, w io.Writer, pick func(*broker.TracedConnection) bool, limits *captureLimits) error {
	f, err := newCaptureFile(w)
	if err != nil {
		return err
	}
	for p := range b.Recorded(pick) {
		if f.full(limits, &p) {
			break
		}
		if err := f.Packet(&p); err != nil {
			return err
		}
	}
	if err := f.Lost(time.Now(), broker.Lost{}); err != nil {
		return err
	}
	return f.out.Flush()
}
