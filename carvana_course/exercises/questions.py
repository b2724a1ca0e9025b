"""The questions that notebooks ask in passing, kept here so that a cell does not show its own answer."""

from carvana_course.exercises.quiz import Quiz

QUESTIONS = {
    "leak": Quiz(
        "A colleague moves view 16 of each test car into training, to have more data. What happens to the test score?",
        {
            "it can rise, and it no longer measures new cars": "By how much, you cannot tell: the net has seen every "
            "test car from one side, and the score now measures recognition as well as skill. On the course's real "
            "photos, with every second view moved, it changed by less than 0.005, up or down.",
            "it becomes more reliable": "There are more training pictures, but the test no longer asks about cars that "
            "the net has not seen.",
            "nothing: one view in 16 is too little": "Neighbouring views differ by 22.5 degrees; one can be enough to "
            "learn the car's colour, its wheels and its shadow.",
        },
        right="it can rise, and it no longer measures new cars",
    ),
    "first layer": Quiz(
        "Why is normalisation the net's first layer, and not a line in the Dataset?",
        {
            "so that it is learned": "Its mean and standard deviation are fixed; they are buffers, not parameters.",
            "because a Dataset can only give bytes": "It can give anything; but bytes are four times smaller than "
            "floats on their way to the device.",
            "so that nobody who uses the saved net forgets it or does it twice": "The constants travel with the "
            "weights, and the net takes plain RGB from 0 to 255 wherever it runs.",
        },
        right="so that nobody who uses the saved net forgets it or does it twice",
    ),
    "stuck": Quiz(
        "Your own net stays at an IoU of 0.6 on eight pictures that it should be able to memorise. What now?",
        {
            "collect more pictures": "It cannot learn eight; thousands will not help.",
            "train on all pictures, for longer": "That hides the fault behind hours of waiting.",
            "look for something wired wrongly": "Loss, labels, learning rate, a layer whose output is not used: eight "
            "pictures are enough to find out.",
            "add dropout": "Dropout works against memorising, the very thing that should succeed here.",
        },
        right="look for something wired wrongly",
    ),
    "winner": Quiz(
        "You run the six trials again with another seed. Will the same configuration win?",
        {
            "certainly, it had the best score": "Its lead is less than a hundredth, and another seed changes the "
            "initial weights and the order of the pictures.",
            "perhaps: the best few lie within a hundredth, and one seed cannot rank them": "The search tells what "
            "fails. Which of the best two or three is best, only more seeds would tell.",
            "no, a winner is always chance": "Not always: 1e-4 is behind by more than a tenth after one short epoch.",
        },
        right="perhaps: the best few lie within a hundredth, and one seed cannot rank them",
    ),
    "weights": Quiz(
        "After an interruption you load the weights alone and train on. What is lost?",
        {
            "AdamW's memory and the place in the schedule": "The next steps differ in length from those that "
            "would have come, and no curve tells you.",
            "nothing, weights are all there is": "AdamW scales each step by running means of past gradients, and a "
            "scheduler counts epochs; both would start from nothing.",
            "everything, training starts from scratch": "The weights are the most expensive part, and they are there.",
        },
        right="AdamW's memory and the place in the schedule",
    ),
    "paper": Quiz(
        "A paper reports an mIoU of 0.96 on these test pictures and says no more. Your net has 0.94 for the car, "
        "picture by picture. Which is better?",
        {
            "the paper's": "If 0.96 is the mean over car and background, it may be the very same net: the table above "
            "has such a pair.",
            "mine": "Nothing says so either.",
            "nobody can tell": "The averaging is not named, and the two numbers differ by no more than two averagings "
            "of one net do.",
        },
        right="nobody can tell",
    ),
    "exported": Quiz(
        "Your exported net differs from the one in PyTorch by up to 0.3 in probability. What is most likely?",
        {
            "rounding: float32 is not exact": "Rounding moves a probability by about a millionth.",
            "a step is missing or done twice, such as the normalisation": "The same weights on other inputs. That is "
            "why normalisation belongs in the file, and why files are compared before they are used.",
            "the threshold": "It comes after the probability and cannot change it.",
        },
        right="a step is missing or done twice, such as the normalisation",
    ),
    "accepting": Quiz(
        "A net that fills the wheel arches predicts a thousand photos. You accept all masks unseen and train on them. "
        "What becomes of the arches?",
        {
            "they open again: a thousand masks average the mistake out": "A mistake that is the same in every mask is "
            "no noise, and nothing averages it out.",
            "they stay filled, and the net is surer of it": "It learns what it is shown, its own mistake a thousand "
            "times; one more round makes the probability higher, and doubt no longer points there.",
            "nothing can be said without the test score": "The masks say already what is learned. A test on masks of "
            "the same making would even praise it.",
        },
        right="they stay filled, and the net is surer of it",
    ),
    "pretraining": Quiz(
        "With 190 cars, ImageNet lifts this encoder far above itself from random weights. The course's small U-Net, "
        "from random weights and in as many steps, ends just below the lifted one. What do you conclude?",
        {
            "pretraining is worth the whole lift": "To this encoder, which learns slowly from random weights. Another "
            "net has less to gain.",
            "pretraining is worth nothing": "With three cars the pretrained net is well ahead of both others. With "
            "190, three seeds do not tell whether it still is.",
            "two questions have two answers": "What ImageNet brings to an encoder is one, which net to take is the "
            "other. For the second, compare with the best you have without it.",
        },
        right="two questions have two answers",
    ),
    "open question": Quiz(
        "Over five seeds a new loss gains +0.002, with a 95 % interval from -0.001 to +0.005. What do you report?",
        {
            "that these seeds do not settle it, with the interval": "So others know what was tried, how large a gain "
            "could still be, and that more seeds would tell.",
            "that it makes no difference": "The interval also holds +0.005, which would be worth having. Nothing here "
            "rules it out.",
            "that it helps, by 0.002": "The interval also holds 0, and a little less than that.",
        },
        right="that these seeds do not settle it, with the interval",
    ),
}
