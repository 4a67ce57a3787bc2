// The keys of each table of a scenario file. What is not there leaves its field alone.
#pragma once

#include "sim/toml_reader.h"
#include "sim/world_model.h"

namespace ntp::sim {

void fields(Reader& r, Span& s);
void fields(Reader& r, Sine& s);
void fields(Reader& r, Step& s);
void fields(Reader& r, OscillatorModel& m);
void fields(Reader& r, Jitter& j);
void fields(Reader& r, Queue& q);
void fields(Reader& r, Route& route);
void fields(Reader& r, PathModel& p);
void fields(Reader& r, LinkModel& link);
void fields(Reader& r, HostModel& host);
void fields(Reader& r, AskModel& ask);
void fields(Reader& r, clock::DisciplinePolicy& policy);
void fields(Reader& r, Reload& reload);
void fields(Reader& r, Restart& restart);
// Of a machine, or of all machines where they stand in the scenario itself: all but its name.
void machine_fields(Reader& r, MachineModel& m);
void fields(Reader& r, Lie& lie);
void fields(Reader& r, Limits& limits);
void fields(Reader& r, Goal& goal);

}  // namespace ntp::sim
