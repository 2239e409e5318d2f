package topic

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

func TestLevelKey(t *testing.T) {
	seen := map[key]string{}
	add := func(level string) {
		t.Helper()
		k := levelKey(level)
		if other, ok := seen[k]; ok && other != level {
			t.Errorf("%q and %q have the same key", level, other)
		}
		if k.b == 0 {
			t.Errorf("the key of %q marks an empty slot", level)
		}
		if got, want := k.dollar(), strings.HasPrefix(level, "$"); got != want {
			t.Errorf("dollar of %q: got %t, want %t", level, got, want)
		}
		seen[k] = level
	}
	for n := range 24 {
		for _, fill := range []byte{0, 'a', '$', 0xff} {
			level := strings.Repeat(string([]byte{fill}), n)
			add(level)
			for i := range n { // every byte counts
				for _, other := range []byte{1, '$', 0x80} {
					add(level[:i] + string([]byte{other}) + level[i+1:])
				}
			}
		}
	}
}

func TestTableAgainstMap(t *testing.T) {
	var at atomic.Pointer[table[int]]
	want := map[int]*int{}
	texts := make([]key, 300)
	for i := range texts {
		texts[i] = textKey(fmt.Sprint(i))
	}
	state := uint32(1)
	for step := range 20_000 {
		state = state*1664525 + 1013904223
		i := int(state>>8) % (1 + step%len(texts)) // low numbers often, high ones seldom
		var v *int
		if state>>30 != 0 || step < 10_000 && state>>29 != 0 {
			v = new(int)
		}
		if old := put(&at, texts[i], v); old != want[i] {
			t.Fatalf("step %d: got %p replaced, want %p", step, old, want[i])
		}
		if want[i] = v; v == nil {
			delete(want, i)
		}
		if got := at.Load(); got != nil && (int(got.live) != len(want) || got.used < got.live || int(got.used) > len(got.slots)) {
			t.Fatalf("step %d: got %d live and %d used of %d slots, want %d live", step, got.live, got.used, len(got.slots), len(want))
		}
	}
	for i, k := range texts {
		if got := at.Load().get(k); got != want[i] {
			t.Errorf("get %d: got %p, want %p", i, got, want[i])
		}
		put(&at, k, nil)
	}
	if at.Load() != nil {
		t.Error("an empty table is kept")
	}
}
