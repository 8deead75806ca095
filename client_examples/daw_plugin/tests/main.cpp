// Runs the tests whose names contain the argument, all of them without one.
#include "tests/check.h"

int main(int argc, char** argv) { return check::run(argc > 1 ? argv[1] : ""); }
