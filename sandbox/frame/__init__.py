"""What all simulators share: transport, clock, meter, faults, recording and the control API."""
