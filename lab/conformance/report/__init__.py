"""What a run found, for people and for programs: terminal, JUnit XML, JSON, HTML."""
