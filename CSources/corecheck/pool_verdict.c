/*
 * What must hold after a worker's death: one outcome for each item, and the
 * right one by what the worker really did.
 */
#include "pool.h"

static const char *verdict_on_item(enum pool_outcome outcome,
                                   const struct pool_truth *truth,
                                   uint32_t item)
{
    if (truth->begun[item] > 1)
        return "an item ran twice";
    if (truth->counted[item] && outcome != VALUE && outcome != FAILURE)
        return "a result that was stored is lost";
    switch (outcome) {
    case NONE:
        return "an item has no outcome";
    case VALUE:
        return truth->finished[item] ? NULL : "a result before its item";
    case FAILURE:
        return truth->begun[item] ? NULL : "a failure before its item";
    case SKIPPED:
        return truth->begun[item] ? "an item that ran was skipped" : NULL;
    case HANDED_ON:
        return truth->begun[item] ? "an item that ran was handed on" : NULL;
    case CRASHED:
        break;
    }
    return NULL;
}

/* A record is charged only when the worker had taken it, and loses no more
 * than what comes after the one item that ended it. */
static const char *verdict_on_record(
    const struct pool_application *application,
    const struct pool_truth *truth, const struct pool_record *record,
    uint64_t number, uint32_t *crashes)
{
    bool ended = false;

    for (uint32_t i = record->first; i < record->first + record->count; i++) {
        enum pool_outcome outcome = application->outcome[i];
        const char *wrong = verdict_on_item(outcome, truth, i);

        if (wrong != NULL)
            return wrong;
        if (ended != (outcome == SKIPPED))
            return ended ? "an item after the end of its record"
                         : "an item that could run was skipped";
        if (outcome == CRASHED || outcome == FAILURE)
            ended = true;
        *crashes += outcome == CRASHED;
        if (outcome == CRASHED && truth->taken != number)
            return "an item was charged that the worker had not reached";
    }
    return NULL;
}

const char *pool_verdict(const struct pool_application *application,
                         const struct pool_truth *truth)
{
    uint32_t crashes = 0;

    if (application->wrong != NULL)
        return application->wrong;
    if (truth->damaged)
        return "the worker was shown what nobody sent";
    for (uint32_t i = 0; i < application->submitted; i++) {
        const char *wrong = verdict_on_record(
            application, truth, &pool_records[i], i + 1, &crashes);

        if (wrong != NULL)
            return wrong;
    }
    return crashes > 1 ? "two items were charged" : NULL;
}
