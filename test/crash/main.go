// Command crash shows whether the broker loses what it has acknowledged. Clients with
// lasting Sessions publish, receive, subscribe and unsubscribe while the broker is killed
// and started again, and they compare what was acknowledged with what came.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	var o options
	flag.StringVar(&o.binary, "colibri", "bin/colibri", "our `binary`")
	flag.IntVar(&o.kills, "kills", 20, "how often the broker is killed; once more at the end")
	flag.Float64Var(&o.terminates, "term", 0, "the `part` of the kills, 0 to 1, that are SIGTERM instead of SIGKILL")
	flag.IntVar(&o.publishers, "publishers", 8, "clients that publish")
	flag.IntVar(&o.subscribers, "subscribers", 6, "clients that receive; their roles repeat after six")
	flag.IntVar(&o.shifters, "shifters", 2, "clients that subscribe and unsubscribe")
	flag.Float64Var(&o.rate, "rate", 100, "messages a second of each publisher, roughly")
	flag.Uint64Var(&o.seed, "seed", 0, "what the random numbers begin with; 0: chosen, and printed")
	mutants := flag.String("mutants", "", "build each mutant of this `file` instead, and expect its faults")
	only := flag.String("mutant", "", "the only mutant to build, by `name`")
	asJSON := flag.Bool("json", false, "report in JSON")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		o.progress = os.Stderr
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if *mutants != "" {
		err = killMutants(ctx, o, *mutants, *only, *asJSON)
	} else {
		err = crash(ctx, o, *asJSON)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "crash: interrupted")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// crash does one run. An error says that something is wrong with the broker, or that
// nobody can tell.
func crash(ctx context.Context, o options, asJSON bool) error {
	out, err := do(ctx, o, asJSON)
	if err != nil {
		return err
	}
	if len(out.faults) > 0 {
		return errors.New("what was acknowledged is not what is there")
	}
	return nil
}

// do does one run and reports it.
func do(ctx context.Context, o options, asJSON bool) (*outcome, error) {
	r, err := start(o)
	if err != nil {
		return nil, err
	}
	out, err := r.all(ctx)
	if o.progress != nil {
		fmt.Fprint(o.progress, "\r\x1b[K")
	}
	if err != nil {
		if ctx.Err() != nil {
			os.RemoveAll(r.dir)
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w; the broker's log is in %s", err, r.dir)
	}
	if asJSON {
		return out, out.writeJSON(os.Stdout, o.seed)
	}
	return out, out.write(os.Stdout, o.seed)
}
