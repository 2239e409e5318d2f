// Package sim runs a whole broker against many clients that do what a seed tells them:
// they publish and subscribe in every way, keep their acknowledgements back, are cut in
// the middle of a packet, take each other's place, send rubbish, and let hours pass. A
// model beside them knows what each was promised, and every packet that arrives is held
// against it.
//
// A run lives in a bubble of testing/synctest. It goes step by step: some clients act at
// the same time, then everybody becomes idle, then what has arrived is judged. Two things
// that happen in the same step are concurrent, so the model answers with what must and
// what may be: only what no order of events explains is a violation. Time passes in steps
// of its own.
//
// The plan of a run follows from its seed alone. The goroutines of the broker run as they
// will, so a seed that has failed may need more than one run to fail again.
package sim
