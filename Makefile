# The commands of the project. `make` alone lists them; each one first makes sure that what it needs
# is installed (scripts/setup).

SWIFT ?= swift
# Where SwiftPM builds.
SCRATCH ?= .build
BUILD = $(SWIFT) build --scratch-path $(SCRATCH)
CORECHECK = $(MAKE) -C CSources/corecheck
EXAMPLES = SquaresAndCubes PoolMap PinnedWorkers PinnedPipeline SharedImageFilter WordCountPipeline

.DEFAULT_GOAL := help
.PHONY: help setup build test bench peers examples client sanitize faults format ci clean

help:  ## This list
	@echo 'make COMMAND, where COMMAND is one of:'
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
	  while IFS='|' read -r name text; do printf '%-12s %s\n' "$$name" "$$text"; done

setup:  ## Check for Swift, install libnuma-dev and what else is missing
	@scripts/setup

# In the contributor's commands a warning is an error.
build test: export MPROC_STRICT = 1

build: setup  ## Build everything, for debugging
	$(BUILD)

test: setup  ## Run all tests, and the checks of the C core
	$(SWIFT) test --scratch-path $(SCRATCH)
	$(CORECHECK) check

bench: setup  ## Measure how work scales over this machine's CPUs; draws scaling.svg
	$(BUILD) -c release --product scaling
	@"$$($(BUILD) -c release --show-bin-path)/scaling" \
	  --kernels ep,triad,mandelbrot --class W --plot scaling.svg
	@echo "The speed-up curves are in $(CURDIR)/scaling.svg"

peers:  ## Measure connections and queues beside boost's, DPDK's, moodycamel's and Python's
	@scripts/setup --peers
	@$(MAKE) -C Benchmarks/Peers
	$(SWIFT) build -c release --package-path Benchmarks/Micro
	@Benchmarks/Peers/build/peers $(PEERS_FLAGS) \
	  --ours "$$($(SWIFT) build -c release --package-path Benchmarks/Micro --show-bin-path)/micro"

examples: setup  ## Build and run the examples
	$(SWIFT) build --package-path Examples
	@for example in $(EXAMPLES); do \
	  printf '\n== %s\n' $$example; \
	  "$$($(SWIFT) build --package-path Examples --show-bin-path)/$$example" || exit 1; \
	done

client: setup  ## Build and run a small package that depends on this one
	$(SWIFT) run --package-path Tests/Client Client

sanitize: setup  ## Check the C core under ASan, UBSan and TSan
	$(CORECHECK) asan tsan

faults: setup  ## Make every system call fail once, refuse some, kill 1,000 times in each phase
	$(BUILD) --build-tests
	Tests/Faults/run $(SCRATCH)/debug/Scenarios
	Tests/Faults/refused $(SCRATCH)/debug/swift-multiprocessingPackageTests.xctest
	Tests/Faults/kill 1000 $(SCRATCH)/debug/Scenarios

format:  ## Format the Swift sources, as .swift-format says
	git ls-files -z '*.swift' | xargs -0 $(SWIFT) format -i --parallel

ci:  ## Everything that must pass before a change is taken
	.ci/run

clean:  ## Remove all that was built
	rm -rf $(SCRATCH) .build-static .build-testing Examples/.build Tests/Client/.build scaling.svg
	$(CORECHECK) clean
	$(MAKE) -C Benchmarks/Peers clean
