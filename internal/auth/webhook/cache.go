package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// cache keeps answers for a while. Its keys are sums of the questions with a key that only
// this process has, so that no password stays in memory. A nil cache keeps nothing.
type cache struct {
	life   time.Duration
	most   int
	secret [sha256.Size]byte

	mu      sync.Mutex // guards what follows; a leaf
	answers map[[sha256.Size]byte]kept
}

type kept struct {
	answer *answer // never changes
	until  time.Time
}

func newCache(life time.Duration, most int) *cache {
	c := &cache{life: life, most: most, answers: make(map[[sha256.Size]byte]kept)}
	rand.Read(c.secret[:])
	return c
}

// sum returns the key of a question.
func (c *cache) sum(question []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.secret[:])
	h.Write(question)
	h.Sum(sum[:0])
	return sum
}

// get returns the answer to a question; nil when there is none that still holds.
func (c *cache) get(question []byte) *answer {
	if c == nil {
		return nil
	}
	sum, now := c.sum(question), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if k, ok := c.answers[sum]; ok && now.Before(k.until) {
		return k.answer
	}
	return nil
}

// put keeps an answer. When there is no room, one that has expired gives way, or else
// any one of the first few.
func (c *cache) put(question []byte, a *answer) {
	if c == nil {
		return
	}
	sum, now := c.sum(question), time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.answers[sum]; !ok && len(c.answers) >= c.most {
		c.makeRoom(now)
	}
	c.answers[sum] = kept{a, now.Add(c.life)}
}

// makeRoom removes at least one answer. The caller holds mu.
func (c *cache) makeRoom(now time.Time) {
	looked, removed := 0, 0
	for sum, k := range c.answers {
		if looked++; !now.Before(k.until) || looked >= 20 && removed == 0 {
			delete(c.answers, sum)
			removed++
		}
		if looked >= 20 && removed > 0 {
			return
		}
	}
	for sum := range c.answers {
		if removed > 0 {
			return
		}
		delete(c.answers, sum)
		removed++
	}
}
