package main

import (
	"encoding/binary"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	for _, test := range []struct {
		values int // 1, 2, 3 and so on
		part   float64
		want   time.Duration
	}{
		{1, 0.50, 1},
		{1, 0.99, 1},
		{2, 0.50, 1},
		{3, 0.50, 2},
		{100, 0.99, 99},
		{101, 0.99, 100},
		{1000, 0.99, 990},
	} {
		values := make([]time.Duration, test.values)
		for i := range values {
			values[i] = time.Duration(i + 1)
		}
		if got := percentile(values, test.part); got != test.want {
			t.Errorf("%g of %d values: got %d, want %d", test.part, test.values, got, test.want)
		}
	}
}

func TestInOrder(t *testing.T) {
	seen := make([]uint64, 2)
	for _, test := range []struct {
		name      string
		publisher uint32
		number    uint64
		ok        bool
	}{
		{"first", 0, 1, true},
		{"of another", 1, 1, true},
		{"next", 0, 2, true},
		{"again", 0, 2, false},
		{"one is missing", 0, 4, false},
		{"of nobody", 2, 1, false},
	} {
		payload := make([]byte, payloadBytes)
		binary.BigEndian.PutUint32(payload, test.publisher)
		binary.BigEndian.PutUint64(payload[4:], test.number)
		if got := inOrder(payload, seen) == nil; got != test.ok {
			t.Errorf("%s: got %v, want %v", test.name, got, test.ok)
		}
	}
	if err := inOrder(make([]byte, payloadBytes-1), seen); err == nil {
		t.Error("a payload that is too short: got no error")
	}
}
