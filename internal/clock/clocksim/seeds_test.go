package clocksim
import ("testing";"time";"fmt";"slices")
func TestSeeds(t *testing.T){ for _,wu:=range []time.Duration{0,5*time.Minute}{ for _,n:=range Networks { var p []time.Duration; out:=0; for s:=uint64(0);s<60;s++{ r:=Run(Scenario{Network:n,Every:time.Second,Checks:10800,Seed:s,Warmup:wu}); p=append(p,r.P99Error); out+=r.Outside}; slices.Sort(p); fmt.Println("SEEDS",wu,n.Name,p[0],p[30],p[54],p[59],out)}}}
