package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/colibri-mqtt/colibri/internal/inspect"
	"github.com/colibri-mqtt/colibri/internal/pcap"
)

// inspectLive shows what comes over an interface, until it is told to end.
func inspectLive(env *invocation, o *inspectOptions, show *show) int {
	keys, err := readKeyLog(o)
	if err != nil {
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
		return exitInspectUnread
	}
	live, err := pcap.Listen(o.iface)
	switch {
	case errors.Is(err, os.ErrPermission):
		fmt.Fprintf(env.stderr, "Error: Only root may listen to an interface: run it with sudo, or  sudo tcpdump -i %s -U -w - | %s -\n", o.iface, env.name)
		return exitInspectUnread
	case errors.Is(err, errors.ErrUnsupported):
		fmt.Fprintf(env.stderr, "Error: Interfaces can be listened to on Linux only: here, run  tcpdump -i %s -U -w - | %s -\n", o.iface, env.name)
		return exitInspectUnread
	case err != nil:
		fmt.Fprintf(env.stderr, "Error: %s\n", sentence(err.Error()))
		return exitInspectUnread
	}
	defer live.Close()
	stop := context.AfterFunc(env.ctx, func() { live.Close() })
	defer stop()
	in := inspect.New(inspect.Config{Ports: o.ports, Packet: show.packet, Event: show.event, KeyLog: keys})
	for !show.failed {
		frame, failed := live.Next()
		if failed != nil {
			err = failed
			break
		}
		in.Frame(frame)
		show.flush()
	}
	dropped := live.Dropped()
	summary := in.Finish()
	show.finish()
	if env.ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
		err = nil
	}
	exit := show.leftOut(summary, err)
	if dropped > 0 {
		fmt.Fprintf(env.stderr, "%d frames came faster than they could be shown, and were skipped.\n", dropped)
		exit = exitInspectPart
	}
	return exit
}
