"""Run methods on cases and keep the results: `python -m Testing.evidence run --methods ours --datasets hippocampus`."""

from Testing.evidence.run import main

raise SystemExit(main())
