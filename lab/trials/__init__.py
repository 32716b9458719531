"""Long runs that judge: interop, measurements, fuzzing, soaks, suites."""
