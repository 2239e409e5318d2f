package transport

import (
	"encoding/binary"
	"errors"

	"github.com/gobwas/ws"
)

// unframer takes the frames of RFC 6455 off a stream of bytes that comes in pieces of
// any size. It holds the header of one frame and the payload of one control frame, never
// more, whatever lengths the headers promise.
type unframer struct {
	state   ws.State               // which end reads, and whether a message is under way
	header  [ws.MaxHeaderSize]byte // of the frame that comes
	have    int                    // bytes of header
	inside  bool                   // the header is complete: its payload comes
	frame   ws.Header
	done    int64  // bytes of the payload that have come
	control []byte // the payload of a control frame so far
}

// controls is told of each control frame. The payload is valid during the call. An
// error ends the stream.
type controls interface {
	control(op ws.OpCode, payload []byte) error
}

// wrongFrame is a frame that ends the connection, and the code that the peer is told.
type wrongFrame struct {
	code ws.StatusCode
	err  error
}

func (e *wrongFrame) Error() string { return "WebSocket: " + e.err.Error() }
func (e *wrongFrame) Unwrap() error { return e.err }

// take takes the frames off b in place: what they carry is b[:n] afterwards. With an
// error the stream is at its end, and b[:n] is what came before the error.
func (u *unframer) take(b []byte, c controls) (n int, err error) {
	for rest := b; len(rest) > 0; {
		if !u.inside {
			used, err := u.begin(rest)
			if err != nil {
				return n, err
			}
			rest = rest[used:]
		}
		if !u.inside {
			continue
		}
		piece := rest[:min(int64(len(rest)), u.frame.Length-u.done)]
		rest = rest[len(piece):]
		if u.frame.Masked {
			ws.Cipher(piece, u.frame.Mask, int(u.done%4))
		}
		u.done += int64(len(piece))
		if u.frame.OpCode.IsControl() {
			u.control = append(u.control, piece...)
		} else {
			n += copy(b[n:], piece)
		}
		if u.done < u.frame.Length {
			continue
		}
		u.inside, u.have = false, 0
		if u.frame.OpCode.IsControl() {
			err := c.control(u.frame.OpCode, u.control)
			u.control = nil
			if err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// begin takes the bytes of a frame's header off b, and returns how many they are. It
// sets inside once the header is complete and right.
func (u *unframer) begin(b []byte) (used int, err error) {
	for {
		size := 2
		if u.have >= size {
			size = headerSize(u.header[1])
		}
		if u.have == size {
			break
		}
		k := copy(u.header[u.have:size], b[used:])
		if k == 0 {
			return used, nil
		}
		u.have += k
		used += k
	}
	u.frame = parseHeader(u.header[:u.have])
	if u.frame.Length < 0 {
		return used, &wrongFrame{ws.StatusProtocolError, errors.New("a frame longer than any may be")}
	}
	if err := ws.CheckHeader(u.frame, u.state); err != nil {
		return used, &wrongFrame{ws.StatusProtocolError, err}
	}
	switch {
	case u.frame.OpCode == ws.OpText: // [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
		return used, &wrongFrame{ws.StatusUnsupportedData, errors.New("a text frame, and MQTT travels in binary frames")}
	case u.frame.OpCode.IsControl():
	case u.frame.Fin:
		u.state = u.state.Clear(ws.StateFragmented)
	default:
		u.state = u.state.Set(ws.StateFragmented)
	}
	u.inside, u.done = true, 0
	return used, nil
}

// headerSize returns the size of a header whose second byte is b.
func headerSize(b byte) int {
	size := 2
	switch b & 0x7F {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if b&0x80 != 0 {
		size += 4
	}
	return size
}

// parseHeader reads a complete header. The length is negative when its first bit is
// set, which RFC 6455 forbids.
func parseHeader(b []byte) ws.Header {
	h := ws.Header{
		Fin:    b[0]&0x80 != 0,
		Rsv:    b[0] & 0x70 >> 4,
		OpCode: ws.OpCode(b[0] & 0x0F),
		Masked: b[1]&0x80 != 0,
		Length: int64(b[1] & 0x7F),
	}
	switch h.Length {
	case 126:
		h.Length = int64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		h.Length = int64(binary.BigEndian.Uint64(b[2:]))
	}
	if h.Masked {
		copy(h.Mask[:], b[len(b)-4:])
	}
	return h
}
