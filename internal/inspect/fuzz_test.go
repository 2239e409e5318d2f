package inspect_test

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// FuzzInspect: any bytes as a file are shown in every form without a panic, and what is
// held of them stays small.
func FuzzInspect(f *testing.F) {
	const v = colibri.V5
	w := newWire(f).open()
	w.send(client, connect(f, v)+publish(f, v, "a", "b"))
	w.send(server, connack(f, v))
	w.at(client, w.seq[client]+10, pcap.ACK, "ahead")
	w.send(client, "\xC0\x00\xE0\x00")
	w.frame(client, pcap.FIN|pcap.ACK, "")
	f.Add(w.file())
	f.Add(webSocketSession(f, 200).file())
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := pcap.NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		table, tree, lines := inspect.NewTable(io.Discard), inspect.NewTree(io.Discard), inspect.NewJSON(io.Discard)
		tree.Hex, tree.Explain = true, &inspect.Explainer{French: true}
		lines.Hex, lines.Explain = true, &inspect.Explainer{}
		follow := inspect.NewFollow(io.Discard, "id")
		keys := inspect.NewKeyLog()
		r.Secrets = keys.Add
		in := inspect.New(inspect.Config{KeyLog: keys, Packet: func(r *inspect.Record) {
			table.Packet(r)
			tree.Packet(r)
			lines.Packet(r)
			follow.Packet(r)
		}, Event: follow.Event})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		frames := 0
		for {
			frame, err := r.Next()
			if err != nil {
				break
			}
			frames++
			in.Frame(frame)
		}
		in.Finish()
		for _, flush := range []func() error{table.Flush, tree.Flush, lines.Flush, follow.Flush} {
			if err := flush(); err != nil {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 128<<20 {
			t.Fatalf("%d MB more are in use after a file of %d bytes", grown>>20, len(file))
		}
	})
}
