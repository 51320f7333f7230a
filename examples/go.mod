module github.com/sluice-engine/sluice/examples

go 1.26

require (
	github.com/sluice-engine/sluice v0.0.0
	github.com/sluice-engine/sluice/bench v0.0.0
)

replace (
	github.com/sluice-engine/sluice => ../
	github.com/sluice-engine/sluice/bench => ../bench
)
