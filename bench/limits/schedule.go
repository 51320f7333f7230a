package limits

import "time"

// schedule is virtual time: what is to happen, in order. Of what is due at one
// instant, what was entered first happens first.
type schedule struct {
	now    time.Duration
	heap   []event
	serial uint64
}

type event struct {
	at     time.Duration
	serial uint64
	do     func()
}

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.serial < f.serial
}

// after has do called d from now.
func (s *schedule) after(d time.Duration, do func()) { s.at(s.now+d, do) }

// at has do called at the given instant, or now if that is past.
func (s *schedule) at(at time.Duration, do func()) {
	s.serial++
	s.heap = append(s.heap, event{max(at, s.now), s.serial, do})
	i := len(s.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !s.heap[i].before(&s.heap[parent]) {
			break
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

// run lets everything happen that is due up to the horizon.
func (s *schedule) run(horizon time.Duration) {
	for len(s.heap) > 0 && s.heap[0].at <= horizon {
		e := s.pop()
		s.now = e.at
		e.do()
	}
}

func (s *schedule) pop() event {
	first := s.heap[0]
	last := len(s.heap) - 1
	s.heap[0], s.heap[last] = s.heap[last], event{}
	s.heap = s.heap[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if s.heap[child].before(&s.heap[least]) {
				least = child
			}
		}
		if least == i {
			return first
		}
		s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
		i = least
	}
}
