package broker

import "sync"

// buffer is what an outbox holds: pooled memory with the packets, and between its bytes
// the payloads that are too large to be copied for every receiver.
type buffer struct {
	b       []byte
	shared  []sharedPayload
	extra   int // bytes of all shared payloads
	control int // bytes of packets that are not PUBLISH
	packets int
	next    *buffer
}

// sharedPayload is a payload that belongs to its message. It stands before the byte at
// position at of the buffer's own.
type sharedPayload struct {
	at    int
	bytes []byte
}

const (
	bufferBytes     = 1 << 10
	keepBufferBytes = 64 << 10 // larger ones are left to the garbage collector
	shareBytes      = 4 << 10  // from this size on a payload is shared, not copied
)

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, bufferBytes)} }}

func (b *buffer) release() {
	if cap(b.b) <= keepBufferBytes {
		clear(b.shared)
		*b = buffer{b: b.b[:0], shared: b.shared[:0]}
		buffers.Put(b)
	}
}

func (b *buffer) len() int { return len(b.b) + b.extra }

// share appends a payload without copying it. It must not change any more.
func (b *buffer) share(payload []byte) {
	b.shared = append(b.shared, sharedPayload{len(b.b), payload})
	b.extra += len(payload)
}

// from returns the longest piece of contiguous bytes from an offset on, and whether it
// is the last one.
func (b *buffer) from(offset int) (piece []byte, last bool) {
	begin := 0
	for i := range b.shared {
		s := &b.shared[i]
		if own := s.at - begin; offset < own {
			return b.b[begin+offset : s.at], false
		} else {
			offset -= own
		}
		if offset < len(s.bytes) {
			return s.bytes[offset:], i == len(b.shared)-1 && s.at == len(b.b)
		}
		offset -= len(s.bytes)
		begin = s.at
	}
	return b.b[begin+offset:], true
}
