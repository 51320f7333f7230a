package throttle
func (w *world) checkWaiting() {
	n := map[*meter]int{}
	for _, ls := range [][]*lane{w.l.queue.ready, w.l.queue.passed} { for _, ln := range ls { for _, c := range ln.path.charges { n[c.meter]++ } } }
	w.l.eachMeter(func(m *meter){ if m.waiting != n[m] { w.log("meter %s waiting %d should %d", m.rule.ID, m.waiting, n[m]) } })
	w.log("lanes %d+%d", len(w.l.queue.ready), len(w.l.queue.passed))
}
