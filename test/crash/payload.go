package main

import (
	"fmt"
	"math/rand/v2"
)

// payload returns the payload of a message: its name, and bytes that follow from it, so
// that a receiver can tell whether all of it is right. A few are larger than what a
// broker reads at once.
func payload(id messageID) []byte {
	random := rand.New(rand.NewPCG(uint64(id.publisher), uint64(id.sequence)))
	size := random.IntN(200)
	switch random.IntN(400) {
	case 0:
		size = random.IntN(50_000)
	case 1, 2, 3, 4, 5, 6, 7, 8:
		size = random.IntN(5_000)
	}
	b := fmt.Appendf(nil, "%d %d ", id.publisher, id.sequence)
	for range size {
		b = append(b, 'a'+byte(random.IntN(26)))
	}
	return b
}

// readPayload returns the name in a payload, and an error when the payload is not what
// that message was sent with.
func readPayload(b []byte) (messageID, error) {
	var id messageID
	if _, err := fmt.Sscanf(string(b[:min(len(b), 40)]), "%d %d ", &id.publisher, &id.sequence); err != nil {
		return id, fmt.Errorf("the payload %.40q has no number: %w", b, err)
	}
	if want := payload(id); string(want) != string(b) {
		return id, fmt.Errorf("number %d of publisher %d has a payload of %d bytes that is not the one of %d bytes which was sent",
			id.sequence, id.publisher, len(b), len(want))
	}
	return id, nil
}
