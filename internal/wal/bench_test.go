//go:build unix

package wal

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"
)

// processorTime is what this process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkAppend is the cost of a frame of 256 bytes when so many appenders wait, each
// for its own frame.
func BenchmarkAppend(b *testing.B) {
	for _, interval := range []time.Duration{0, time.Second} {
		for _, appenders := range []int{1, 64, 1000} {
			b.Run(fmt.Sprintf("sync=%v/appenders=%d", interval, appenders), func(b *testing.B) {
				l, err := Open(b.TempDir(), Options{SyncInterval: interval})
				if err != nil {
					b.Fatal(err)
				}
				frame := make([]byte, 256)
				var all sync.WaitGroup
				before := processorTime(b)
				b.ResetTimer()
				for i := range appenders {
					n := b.N / appenders
					if i < b.N%appenders {
						n++
					}
					all.Go(func() {
						answer := make(chan error, 1)
						for range n {
							l.Append(frame, func(_ Pos, err error) { answer <- err })
							if err := <-answer; err != nil {
								b.Error(err)
							}
						}
					})
				}
				all.Wait()
				b.StopTimer()
				b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/1e3, "cpu-µs/op")
				if err := l.Close(); err != nil {
					b.Error(err)
				}
			})
		}
	}
}

// BenchmarkReplay reads a log of a million frames of 300 bytes.
func BenchmarkReplay(b *testing.B) {
	const frames = 1_000_000
	dir := b.TempDir()
	l, err := Open(dir, Options{SyncInterval: time.Minute, PendingBytes: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	for i := range frames {
		frame := make([]byte, 300)
		frame[i%300] = 1
		l.Append(frame, func(_ Pos, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(frames * 300)
	for b.Loop() {
		l, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := l.Replay(func(Pos, []byte) error { n++; return nil }); err != nil || n != frames {
			b.Fatalf("got %d frames and error %v, want %d", n, err, frames)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
