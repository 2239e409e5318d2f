package hasher

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// greeting is what the process writes first. What else can be started by mistake does not say
// it, and another version of it would say something else.
const greeting = "colibri hasher 1\n"

// A question is its number, the length of the hash and of the password, and then these two. An
// answer is the number of the question and one byte. Numbers are big-endian.
const (
	questionHeadBytes = 4 + 2 + 2
	answerBytes       = 4 + 1
	maxHashBytes      = 512 // as text; the bounds of internal/passwd make the longest one shorter
)

// appendQuestion appends a question to b. The hash is one of internal/passwd and the password
// came in a CONNECT, so both lengths fit in two bytes.
func appendQuestion(b []byte, id uint32, hash string, password []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint16(b, uint16(len(hash)))
	b = binary.BigEndian.AppendUint16(b, uint16(min(len(password), math.MaxUint16)))
	b = append(b, hash...)
	return append(b, password[:min(len(password), math.MaxUint16)]...)
}

// readQuestion reads a question. io.EOF says that there is none any more.
func readQuestion(r *bufio.Reader) (id uint32, hash string, password []byte, err error) {
	var head [questionHeadBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", nil, err
	}
	id = binary.BigEndian.Uint32(head[:])
	hashBytes := int(binary.BigEndian.Uint16(head[4:]))
	if hashBytes > maxHashBytes {
		return 0, "", nil, fmt.Errorf("a hash of %d bytes is not one", hashBytes)
	}
	both := make([]byte, hashBytes+int(binary.BigEndian.Uint16(head[6:])))
	if _, err := io.ReadFull(r, both); err != nil {
		return 0, "", nil, io.ErrUnexpectedEOF
	}
	return id, string(both[:hashBytes]), both[hashBytes:], nil
}

func appendAnswer(b []byte, id uint32, right bool) []byte {
	b = binary.BigEndian.AppendUint32(b, id)
	if right {
		return append(b, 1)
	}
	return append(b, 0)
}

// read takes what the process writes until its end, for which there is no error, or until it
// writes what it should not.
func (p *process) read(out io.Reader) error {
	r := bufio.NewReaderSize(out, 1<<10)
	var hello [len(greeting)]byte
	if n, err := io.ReadFull(r, hello[:]); err != nil || string(hello[:]) != greeting {
		if n == 0 {
			return nil
		}
		return errors.New("what was started is another program")
	}
	close(p.greeted)
	for {
		var b [answerBytes]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil
		}
		if b[4] > 1 || !p.answered(binary.BigEndian.Uint32(b[:]), b[4] == 1) {
			return errors.New("it has answered what nobody has asked")
		}
	}
}
