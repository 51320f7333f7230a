package doctor

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// loadIn reads the average of the last minute from /proc/loadavg.
func loadIn(text string) (load float64, ok bool) {
	first, _, _ := strings.Cut(text, " ")
	load, err := strconv.ParseFloat(first, 64)
	return load, err == nil && load >= 0 && !math.IsInf(load, 0)
}

// countIn reads a file that holds one whole number.
func countIn(text string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	return n, err == nil && n >= 0
}

// portsIn reads ip_local_port_range: two ports.
func portsIn(text string) (ports portRange, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return portRange{}, false
	}
	first, fine := countIn(fields[0])
	last, fine2 := countIn(fields[1])
	if !fine || !fine2 || first < 1 || last < first || last > math.MaxUint16 {
		return portRange{}, false
	}
	return portRange{first, last}, true
}

// timeWaitIn reads how many connections wait in TIME_WAIT from /proc/net/sockstat.
func timeWaitIn(text string) (n int, ok bool) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TCP:" {
			continue
		}
		at := slices.Index(fields, "tw")
		if at < 0 || at+1 == len(fields) {
			return 0, false
		}
		return countIn(fields[at+1])
	}
	return 0, false
}

// groupIn finds a process's control group in /proc/self/cgroup: that of a controller of version
// 1, or, if that is empty, that of version 2. Empty is none, which is the root.
func groupIn(text, controller string) string {
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && slices.Contains(strings.Split(parts[1], ","), controller) {
			return parts[2]
		}
	}
	return ""
}

// quotaIn reads cpu.max: microseconds, or "max", in each period.
func quotaIn(text string) (q quota, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return quota{}, false
	}
	if fields[0] == "max" {
		_, fine := countIn(fields[1])
		return quota{}, fine
	}
	return quotaOf(fields[0], fields[1])
}

// oldQuotaIn reads cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us.
func oldQuotaIn(granted, period string) (q quota, ok bool) {
	if strings.TrimSpace(granted) == "-1" {
		return quota{}, true
	}
	return quotaOf(granted, period)
}

func quotaOf(granted, period string) (q quota, ok bool) {
	us, fine := countIn(granted)
	of, fine2 := countIn(period)
	if !fine || !fine2 || us == 0 || of == 0 {
		return quota{}, false
	}
	return quota{limited: true, cpus: float64(us) / float64(of)}, true
}
