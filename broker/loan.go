package broker

import (
	"github.com/colibri-mqtt/colibri"
	"github.com/colibri-mqtt/colibri/internal/journal"
)

// A message of a Shared Subscription that is with a member whose Session the Log does not
// know stays the group's in the Log, as if it still waited, until that member has
// acknowledged it: after a crash the others have to get it. That is so while one of the
// others has a Session that the Log knows; otherwise nobody comes back for it.
//
// With QoS 2 it stays the group's only until it is sent: then it ends with that Session
// [MQTT-4.8.2-5].

// loan is such a message: its group, and the numbers of both in the Log.
type loan struct {
	group         *shareGroup
	inLog, number uint64
}

// loans are those of one Session, by the Number of the Delivery.
type loans struct {
	last uint64 // the last Number
	open map[uint64]loan
}

// next returns the Number of the next Delivery, which may become a loan.
func (l *loans) next() uint64 {
	l.last++
	return l.last
}

func (l *loans) add(number uint64, one loan) {
	if l.open == nil {
		l.open = make(map[uint64]loan)
	}
	l.open[number] = one
}

// lend notes that a member has m, which has this number in the Log. The caller holds g.mu.
func (g *shareGroup) lend(number uint64, m *colibri.Message) {
	if g.lent == nil {
		g.lent = make(map[uint64]*colibri.Message)
	}
	g.lent[number] = m
}

// numberLoan gives d, which is about to be delivered to s, a Number if it may stay the
// group's in the Log. The caller holds s.mu.
func (s *liveSession) numberLoan(d *colibri.Delivery) {
	if sh := s.sharing.Load(); sh != nil && d.Share != "" {
		if g := sh.group(d.Share); g != nil && g.lasting.Load() > 0 {
			d.Number = sh.loans.next()
		}
	}
}

// recordLoan records that d, which s is to deliver, is the group's. sent says that it is
// delivered now. The caller holds s.mu.
func (b *batch) recordLoan(s *liveSession, d *colibri.Delivery, sent bool) {
	sh := s.sharing.Load()
	g := sh.group(d.Share)
	if sent && d.QoS == colibri.ExactlyOnce {
		return
	}
	g.mu.Lock()
	if g.number == 0 {
		g.number = b.broker.numbers.session.Add(1)
	}
	one := loan{g, g.number, g.nextNumber()}
	g.lend(one.number, d.Message)
	g.mu.Unlock()
	sh.loans.add(d.Number, one)
	b.entries = journal.Append(b.entries, groupOpened(one.inLog, g.filter))
	b.waiting = append(b.waiting, groupOwing{g, one.number, one.number})
	b.recordQueued(one.inLog, one.number, d.Message)
}

// loanEnds appends to entries that the Delivery of this Number is not the group's any more,
// if it was. It may come to the Log before what has opened the group. The caller holds s.mu.
func (s *liveSession) loanEnds(entries []byte, number uint64) []byte {
	sh := s.sharing.Load()
	if sh == nil {
		return entries
	}
	one, ok := sh.loans.open[number]
	if !ok {
		return entries
	}
	delete(sh.loans.open, number)
	g := one.group
	g.mu.Lock()
	delete(g.lent, one.number)
	opens := !g.ended && one.number > g.recorded
	g.mu.Unlock()
	if opens {
		entries = journal.Append(entries, groupOpened(one.inLog, g.filter))
	}
	return journal.Append(entries, journal.DeliveryEnded{Session: one.inLog, Delivery: one.number})
}
