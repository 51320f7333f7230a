package hostile

import "testing"

func playTokens(t *testing.T, c Config, r *Report)  {}
func playTime(t *testing.T, c Config, r *Report)    {}
func playSecrets(t *testing.T, c Config, r *Report) {}
