package pressure

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheSystemsCountersAreRead(t *testing.T) {
	average, total, ok := parsePressure("some avg10=66.23 avg60=48.89 avg300=64.55 total=31806395497\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n")
	require.True(t, ok)
	require.InDelta(t, 66.23, average, 1e-9)
	require.Equal(t, 31806395497*time.Microsecond, total)
	busy, stolen, ok := parseStat("cpu  100 20 3 5000 600 7 8 9 50 1\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	require.True(t, ok)
	require.Equal(t, 1380*time.Millisecond, busy) // without idle, waiting for disks, and what the host took
	require.Equal(t, 90*time.Millisecond, stolen)
	for _, text := range []string{"", "some", "full avg10=0 avg60=0 avg300=0 total=0", "some avg10=x avg60=0 avg300=0 total=0", "some avg10=0 avg60=0 avg300=0 total=x"} {
		_, _, ok := parsePressure(text)
		require.False(t, ok, text)
	}
	for _, text := range []string{"", "cpu", "cpu0 1 1 1 1 1 1 1 1", "cpu 1 1 1 x 1 1 1 1"} {
		_, _, ok := parseStat(text)
		require.False(t, ok, text)
	}
}

// pressed is a second of two processors in which somebody else had most of both.
var pressed = Reading{Known: true, Length: time.Second, Waited: 900 * time.Millisecond, Others: 1500 * time.Millisecond, Processors: 2}

func TestPressureIsWaitingForWhatOthersUse(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Reading)
		want   bool
	}{
		"both":                          {func(*Reading) {}, true},
		"nothing is known":              {func(r *Reading) { r.Known = false }, false},
		"the process waits for itself":  {func(r *Reading) { r.Others = 199 * time.Millisecond }, false},
		"others work and nobody waits":  {func(r *Reading) { r.Waited = 49 * time.Millisecond }, false},
		"others have half, a twentieth": {func(r *Reading) { r.Waited, r.Others = 50*time.Millisecond, time.Second }, true},
		"others have less than half":    {func(r *Reading) { r.Waited, r.Others = 99*time.Millisecond, 999*time.Millisecond }, false},
		"a tenth of each":               {func(r *Reading) { r.Waited, r.Others = 100*time.Millisecond, 200*time.Millisecond }, true},
		"the host takes a twentieth":    {func(r *Reading) { r.Waited, r.Others, r.Stolen = 0, 0, 100*time.Millisecond }, true},
		"the host takes less":           {func(r *Reading) { r.Waited, r.Others, r.Stolen = 0, 0, 99*time.Millisecond }, false},
		"no time":                       {func(r *Reading) { r.Length = 0 }, false},
	} {
		r := pressed
		c.change(&r)
		require.Equal(t, c.want, r.Pressed(), name)
	}
}

func TestFailuresAreExcusedByPressureAlone(t *testing.T) {
	late, idle := errors.New("late"), Reading{Known: true, Length: time.Second, Processors: 2}
	under := func(err error, machines ...Reading) (made []tried) {
		for _, machine := range machines {
			made = append(made, tried{err, machine})
		}
		return made
	}
	for name, c := range map[string]struct {
		made        []tried
		alone, want bool
	}{
		"never pressed":                       {under(late, idle, idle), false, false},
		"always pressed":                      {under(late, pressed, pressed), false, true},
		"pressed half of the time":            {under(late, idle, pressed), false, true},
		"pressed a third of the time":         {under(late, idle, pressed, idle), false, false},
		"alone, pressed half of the time":     {under(late, idle, pressed), true, false},
		"alone, always pressed":               {under(late, pressed, pressed), true, true},
		"nothing known":                       {under(late, Reading{}), false, true},
		"nothing known, grossly off":          {under(Gross(late), Reading{}), false, false},
		"nothing known, alone":                {under(late, Reading{}), true, false},
		"grossly off on a pressed machine":    {under(Gross(late), pressed), false, true},
		"nothing known, grossly off but once": {append(under(Gross(late), Reading{}), under(late, Reading{})...), false, true},
	} {
		excused, because := judge(c.made, c.alone)
		require.Equal(t, c.want, excused, name)
		require.Contains(t, because, "late", name)
	}
	require.ErrorIs(t, Gross(late), late)
}

// told is a test that only notes how it was ended.
type told struct {
	testing.TB
	skipped, failed string
}

func (t *told) Helper()          {}
func (t *told) Skip(all ...any)  { t.skipped = all[0].(string); runtime.Goexit() }
func (t *told) Fatal(all ...any) { t.failed = all[0].(string); runtime.Goexit() }

func tryIn(tries int, attempt func() error) *told {
	t, ended := &told{}, make(chan struct{})
	go func() {
		defer close(ended)
		Try(t, tries, attempt)
	}()
	<-ended
	return t
}

func TestAttemptsEndWithTheFirstThatIsOnTime(t *testing.T) {
	t.Setenv(Alone, "")
	made := 0
	test := tryIn(5, func() error {
		if made++; made < 3 {
			return errors.New("late")
		}
		return nil
	})
	require.Equal(t, 3, made)
	require.Empty(t, test.failed+test.skipped)

	made = 0
	test = tryIn(4, func() error { made++; return Gross(errors.New("much too late")) })
	require.Contains(t, test.failed+test.skipped, "attempt 1 of")
	require.Contains(t, test.failed+test.skipped, "much too late")
	if read().known {
		require.Equal(t, 4, made)
	} else {
		require.Equal(t, 4*blindly, made)
		require.NotEmpty(t, test.failed)
	}
}

func TestOnlyACalmMachineOrTheEndOfPatienceIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		awaitCalm(time.Minute, func() Reading {
			time.Sleep(moment)
			if looks++; looks < 10 {
				return pressed
			}
			return Reading{Known: true, Length: moment}
		})
		require.Equal(t, 10, looks)
		began := time.Now()
		awaitCalm(time.Minute, func() Reading { time.Sleep(moment); return pressed })
		require.Equal(t, time.Minute, time.Since(began))
	})
}

func TestWhatThisProcessUsesIsNotOthers(t *testing.T) {
	if _, err := os.Stat("/proc/pressure/cpu"); err != nil {
		t.Skip("this system does not tell")
	}
	before := read()
	require.True(t, before.known)
	deadline := time.Now().Add(200 * time.Millisecond)
	for time.Now().Before(deadline) {
	}
	r := read().since(before)
	require.True(t, r.Known)
	require.GreaterOrEqual(t, r.Length, 200*time.Millisecond)
	require.LessOrEqual(t, r.Others, r.Length*time.Duration(r.Processors)+4*tick)
	own := counters{known: true, busy: 3 * time.Second, own: 2 * time.Second}.since(counters{known: true, busy: time.Second, own: time.Second})
	require.Equal(t, time.Second, own.Others)
	require.Contains(t, r.String(), "avg10")
}
