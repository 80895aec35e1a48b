// A peer that is a program of its own, in another language. It reads orders,
// one a line: NAME KIND COUNT WARM CPU OTHER-CPU…, and answers each with the
// nanoseconds of a message, or "-" for what it does not do.
#pragma once
#include <cstring>
#include <string>

#include "trial.hpp"

constexpr const char *KIND_NAMES[KINDS] = {"trip8", "flow8",  "flow64",
                                           "many8", "large1", "large16"};

class Program {
    FILE *orders = nullptr, *answers = nullptr;
    pid_t pid = -1;

  public:
    explicit Program(const std::vector<std::string> &words) {
        int to[2], from[2];
        std::vector<char *> arguments;

        for (const auto &word : words)
            arguments.push_back(const_cast<char *>(word.c_str()));
        arguments.push_back(nullptr);
        if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
            die("pipe");
        pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            dup2(to[0], STDIN_FILENO);
            dup2(from[1], STDOUT_FILENO);
            execvp(arguments[0], arguments.data());
            _exit(127);
        }
        close(to[0]);
        close(from[1]);
        orders = fdopen(to[1], "w");
        answers = fdopen(from[0], "r");
        signal(SIGPIPE, SIG_IGN);
    }

    // Ends the program: it has seen the end of its orders.
    ~Program() {
        fclose(orders);
        fclose(answers);
        waitpid(pid, nullptr, 0);
    }
    Program(const Program &) = delete;

    // False: it cannot run here.
    bool answers_at_all() {
        fputs("hello\n", orders);
        return fflush(orders) == 0 && read_answer() == "-";
    }

    double ask(const std::string &name, Kind kind, const Order &order) {
        std::string answer;

        fprintf(orders, "%s %s %zu %zu %d", name.c_str(), KIND_NAMES[kind],
                order.count, order.warm(), order.cpu);
        for (int cpu : order.others)
            fprintf(orders, " %d", cpu);
        fputc('\n', orders);
        fflush(orders);
        answer = read_answer();
        if (answer.empty())
            die(name.c_str());
        return answer == "-" ? NAN : std::stod(answer);
    }

  private:
    std::string read_answer() {
        char line[64] = "";

        if (fgets(line, sizeof line, answers) == nullptr)
            return "";
        return std::string(line, strcspn(line, "\n"));
    }
};
